"""What every service needs and no domain expert would name: delivery plumbing, app scaffolding, contracts."""
