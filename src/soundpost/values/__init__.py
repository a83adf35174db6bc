"""Values of an application as texts: models, proxies, enumerations, and classes with a registered serializer."""
