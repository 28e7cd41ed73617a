"""Fetches one address with httpx, as a script does that knows nothing of proxies."""
import sys

import httpx

sys.stdout.write(httpx.get(sys.argv[1]).raise_for_status().text)
