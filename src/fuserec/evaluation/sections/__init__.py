"""The sections of the report, one file each: a function of the page that returns markup, or None without matter."""
