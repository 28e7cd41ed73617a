// Fetches one address with node:https, as a script does that knows nothing of proxies.
import https from "node:https";

https.get(process.argv[2], (response) => response.pipe(process.stdout));
