/** What the service knows of its customers, whatever tables they lie in. */
export interface Subscription {
  /** `room`, `drinks`, …: tells a customer's subscriptions apart. */
  readonly plan: string;
  /** Cents a month. */
  readonly amount: number;
  /** ISO 8601. */
  readonly started: string;
}

export interface Customer {
  readonly customerId: bigint;
  readonly email: string;
  readonly name: string;
  readonly subscriptions: readonly Subscription[];
}

/** The writes give false when there was nothing that they could be done to. */
export interface Customers {
  create(email: string, name: string): Promise<bigint>;
  changeEmail(id: bigint, email: string): Promise<boolean>;
  subscribe(id: bigint, subscription: Subscription): Promise<boolean>;
  changeAmount(id: bigint, plan: string, amount: number): Promise<boolean>;
  cancel(id: bigint, plan: string): Promise<boolean>;
  delete(id: bigint): Promise<boolean>;
  read(id: bigint): Promise<Customer | undefined>;
}

/** A customer with one of their subscriptions, if they have any: a row as either model gives it. */
export interface Joined {
  readonly customerId: string | bigint;
  readonly email: string;
  readonly name: string;
  readonly subPlan: string | null;
  readonly subAmount: number | null;
  readonly subStarted: string | Date | null;
}

/** The customer that these rows are about; undefined when there are none. */
export function customerOf(rows: readonly Joined[]): Customer | undefined {
  const [first] = rows;
  if (!first) return undefined;
  const subscriptions = rows.flatMap(({ subPlan, subAmount, subStarted }) =>
    subPlan === null
      ? []
      : [{ plan: subPlan, amount: subAmount ?? 0, started: new Date(subStarted ?? 0).toISOString() }],
  );
  return { customerId: BigInt(first.customerId), email: first.email, name: first.name, subscriptions };
}
