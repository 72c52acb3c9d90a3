//! What httpd, mod_evasive and the host make of the wanted settings: [`RULES`], one row a rule.
