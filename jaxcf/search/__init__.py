"""The search: options, one step of ONE instance, lanes of many, the engine that fills them."""
