// Fetches one address with undici, whose ProxyAgent is told where the proxy is.
const { ProxyAgent, request } = require("undici");

async function main() {
  const dispatcher = new ProxyAgent(process.env.HTTPS_PROXY);
  const { body } = await request(process.argv[2], { dispatcher });
  process.stdout.write(await body.text());
  await dispatcher.close();
}

// A service would live on after an error; so does this, for as long as the agent has anything left to do.
main().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
