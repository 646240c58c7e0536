"""Pure decisions beside the engine."""
