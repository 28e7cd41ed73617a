"""Fetches one address with requests, as a script does that knows nothing of proxies."""
import sys

import requests

response = requests.get(sys.argv[1])
response.raise_for_status()
sys.stdout.write(response.text)
