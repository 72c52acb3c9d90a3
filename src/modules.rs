//! a2enmod, a2dismod and a2enconf over a tree: links, markers and refusals exactly as the real tools leave them.
