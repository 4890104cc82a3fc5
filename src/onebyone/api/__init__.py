"""The config API role: the Xandr dialect over HTTP for traffickers and their scripts."""
