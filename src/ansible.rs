//! Front 1: the Ansible module contract.
