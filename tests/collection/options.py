"""Holds the tasks of playbooks against the options that a module's file states, as linters do.

Usage: options.py MODULE.py [TASK]; without a task, those of the module's own examples. Prints each error on a line.
"""

import importlib.util
import json
import sys

import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

path, tasks = sys.argv[1], sys.argv[2:]
spec = importlib.util.spec_from_file_location('module', path)
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
name = 'webfleet.apache.' + path.rsplit('/', 1)[-1][:-len('.py')]

if tasks:
    given = [json.loads(task) for task in tasks]
else:
    given = [task[name] or {} for task in yaml.safe_load(module.EXAMPLES) if name in task]
    if not given:
        print('no example of', name)
documentation = yaml.safe_load(module.DOCUMENTATION)['options']
if sorted(documentation) != sorted(module.ARGUMENT_SPEC):
    print('the options documented are not those that are stated')
for parameters in given:
    for message in ArgumentSpecValidator(module.ARGUMENT_SPEC).validate(parameters).error_messages:
        print(message)
