//! Carries a plan out: lock, recover, journal, swap, activate, verify.
