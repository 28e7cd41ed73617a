// Fetches one address with Node's own fetch, as a script does that knows nothing of proxies.
try {
  const response = await fetch(process.argv[2]);
  process.stdout.write(await response.text());
} catch (error) {
  // A service would live on after an error; so does this, for as long as fetch has anything left to do.
  console.error(error);
  process.exitCode = 1;
}
