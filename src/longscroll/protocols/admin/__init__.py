"""The endpoints for those who administer the service: keys and what was used with them."""
