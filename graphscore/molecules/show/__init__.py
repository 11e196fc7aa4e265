"""Pages and pictures of molecules."""
