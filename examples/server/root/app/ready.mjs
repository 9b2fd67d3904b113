/** Ends when the application answers and its database does, too. */
const until = Date.now() + 30_000;
for (;;) {
  const answer = await fetch('http://127.0.0.1:8080/health').catch(() => undefined);
  if (answer?.ok) break;
  if (Date.now() > until) process.exit(1);
  await new Promise((resolve) => setTimeout(resolve, 5));
}
