// Fetches one address with Node's own fetch, as a script does that knows nothing of proxies.
const response = await fetch(process.argv[2]);
if (!response.ok) throw new Error(`${response.status} ${response.statusText}`);
process.stdout.write(await response.text());
