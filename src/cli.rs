//! Front 2: the same operations for a person.
