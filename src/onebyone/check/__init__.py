"""`onebyone check`: looks at a data folder and a live deployment, says in words what is wrong, and changes nothing."""
