"""Fetches one address with the standard library, as a script does that knows nothing of proxies."""
import sys
import urllib.request

with urllib.request.urlopen(sys.argv[1]) as response:
    sys.stdout.write(response.read().decode())
