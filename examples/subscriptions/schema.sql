-- The database as the application has it before the move.
CREATE TABLE customers (
  customer_id bigint PRIMARY KEY,
  email       text NOT NULL,
  name        text NOT NULL,
  sub_plan    text,
  sub_amount  integer,
  sub_started timestamptz
);

CREATE SEQUENCE customer_numbers;

-- Every change of a customer, written in the transaction of the change.
CREATE TABLE journal (
  no          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  customer_id bigint NOT NULL,
  what        text NOT NULL,
  at          timestamptz NOT NULL DEFAULT now()
);
