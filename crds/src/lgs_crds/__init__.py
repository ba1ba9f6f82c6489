"""The LangGraphService manifest: its model, its rules and the CustomResourceDefinition made from them."""
