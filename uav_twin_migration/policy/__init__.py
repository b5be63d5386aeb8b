"""The tiny actor: observation, artifact and numpy inference."""
