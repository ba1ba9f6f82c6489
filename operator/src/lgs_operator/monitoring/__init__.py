"""What is watched of services and of the operator, and when somebody is to be told: pure descriptions."""
