"""Interactive pages, pictures and tables of molecules."""
