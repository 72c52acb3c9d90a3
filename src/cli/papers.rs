//! The manual page and the completions of three shells, from the tables that `--help` prints.

use std::fmt::Write as _;

use super::{COMMANDS, Command, OPTIONS};

impl Command {
    /// Returns the options that stand in its usage, and `--json`, which every command takes.
    pub(super) fn options(&self) -> impl Iterator<Item = &'static str> {
        let words = self.usage.split([' ', '[', ']']).filter(|word| word.starts_with("--"));
        let json = if self.usage.contains("--json") { None } else { Some("--json") };
        words.map(|word| word.trim_end_matches('.')).chain(json)
    }
}

/// Returns what follows an option in a usage, such as `FILE`; nothing for a flag.
fn argument(option: &str) -> Option<&'static str> {
    COMMANDS.iter().find_map(|command| {
        let mut words = command.usage.split(' ');
        words.find(|word| word.trim_start_matches('[') == option)?;
        let next = words.next()?;
        (!next.starts_with('[')).then(|| next.trim_end_matches([']', '.']))
    })
}

/// Returns the manual page in roff.
pub(super) fn man() -> String {
    let roff = |text: &str| {
        let text = text.replace('\\', "\\e").replace('-', "\\-");
        if text.starts_with(['.', '\'']) { format!("\\&{text}") } else { text }
    };
    let mut page = format!(
        ".TH APACHE\\-TUNING 1 \"\" \"apache\\-tuning {}\" \"User Commands\"\n.SH NAME\n\
         apache\\-tuning \\- Apache performance settings that are right on every host\n.SH SYNOPSIS\n\
         .B apache\\-tuning\n.I COMMAND\n[\\fIOPTION\\fR]...\n.br\n.B apache\\-tuning\n\
         .I ARGS.json\n|\n.B \\-\n.SH DESCRIPTION\n\
         Sets Apache's multi\\-processing module, its numbers and the features beside it, checks them against what\n\
         httpd makes of them and what the host can carry, and activates the change or rolls it back.\n\
         With a file of parameters, or\n.B \\-\nfor standard input, it is an Ansible module: it reads one JSON object \
         and prints one.\n.SH COMMANDS\n",
        roff(env!("CARGO_PKG_VERSION"))
    );
    for command in COMMANDS {
        let _ = write!(
            page,
            ".TP\n\\fB{}\\fR {}\n{}.\n",
            roff(command.name),
            roff(command.usage),
            roff(command.about)
        );
    }
    page.push_str(".SH OPTIONS\n");
    for (option, about) in OPTIONS {
        let argument = argument(option).map_or(String::new(), |word| format!(" \\fI{}\\fR", roff(word)));
        let _ = write!(page, ".TP\n\\fB{}\\fR{argument}\n{}.\n", roff(option), roff(about));
    }
    page.push_str(
        ".SH EXIT STATUS\n.TP\n0\nin order\n.TP\n1\nrefused or failed\n.TP\n2\nwrong usage\n.TP\n3\na change is due \
         (\\fB\\-\\-exit\\-code\\fR)\n.SH ENVIRONMENT\n.TP\nNO_COLOR\nno colour, on a terminal too\n\
         .SH FILES\n.TP\n/var/lib/apache\\-tuning\nhistory, journal and lock\n\
         .SH SEE ALSO\n.BR httpd (8),\n.BR apachectl (8),\n.BR ansible\\-doc (1)\n",
    );
    page
}

/// Returns the completions for a shell; `None` where the shell is not known.
pub(super) fn completions(shell: &str) -> Option<String> {
    match shell {
        "bash" => Some(bash()),
        "zsh" => Some(zsh()),
        "fish" => Some(fish()),
        _ => None,
    }
}

fn names() -> String {
    COMMANDS.iter().map(|command| command.name).collect::<Vec<_>>().join(" ")
}

/// Returns the words that may follow a command or an option: those of `a|b|c` in its usage.
fn choices(usage: &str) -> Option<String> {
    (usage.contains('|') && !usage.contains(' ')).then(|| usage.replace('|', " "))
}

fn bash() -> String {
    let mut text = format!(
        "_apache_tuning() {{\n    local cur=${{COMP_WORDS[COMP_CWORD]}} prev=${{COMP_WORDS[COMP_CWORD-1]}}\n    \
         COMPREPLY=()\n    if [ \"$COMP_CWORD\" -eq 1 ]; then\n        \
         COMPREPLY=($(compgen -W '{} --help --version' -- \"$cur\"))\n        return\n    fi\n    \
         case $prev in\n        --root|--limits) COMPREPLY=($(compgen -d -- \"$cur\")); return ;;\n        \
         --mpm) COMPREPLY=($(compgen -W 'event worker prefork' -- \"$cur\")); return ;;\n    esac\n    \
         case $cur in\n        -*) ;;\n        *) [ \"$COMP_CWORD\" -gt 2 ] && return ;;\n    esac\n    \
         case ${{COMP_WORDS[1]}} in\n",
        names()
    );
    for command in COMMANDS {
        let mut words: Vec<String> = command.options().map(str::to_owned).collect();
        words.extend(choices(command.usage));
        let _ = writeln!(
            text,
            "        {}) COMPREPLY=($(compgen -W '{} --help' -- \"$cur\")) ;;",
            command.name,
            words.join(" ")
        );
    }
    text.push_str("    esac\n}\ncomplete -o default -F _apache_tuning apache-tuning\n");
    text
}

/// Quotes a text for a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

fn zsh() -> String {
    let mut text =
        String::from("#compdef apache-tuning\n\n_apache-tuning() {\n    local -a commands\n    commands=(\n");
    for command in COMMANDS {
        let _ = writeln!(text, "        {}", quoted(&format!("{}:{}", command.name, command.about)));
    }
    text.push_str(
        "    )\n    if (( CURRENT == 2 )); then\n        _describe command commands\n        return\n    fi\n    \
         case $words[2] in\n",
    );
    for command in COMMANDS {
        let words = choices(command.usage);
        let options: Vec<String> = command
            .options()
            .map(|option| {
                let about = OPTIONS.iter().find(|(name, _)| *name == option).map_or("", |(_, about)| about);
                let about = about.replace(['[', ']', ':'], " ");
                let value = argument(option).map_or("", |_| ":value:_files");
                quoted(&format!("*{option}[{about}]{value}"))
            })
            .collect();
        let rest = words.map_or("'*:file:_files'".to_owned(), |words| quoted(&format!("*:word:({words})")));
        let _ = writeln!(text, "        {}) _arguments {} {rest} ;;", command.name, options.join(" "));
    }
    text.push_str("    esac\n}\n\n_apache-tuning \"$@\"\n");
    text
}

fn fish() -> String {
    let mut text = String::new();
    for command in COMMANDS {
        let _ = writeln!(
            text,
            "complete -c apache-tuning -n __fish_use_subcommand -a {} -d {}",
            command.name,
            quoted(command.about)
        );
        for option in command.options() {
            let about = OPTIONS.iter().find(|(name, _)| *name == option).map_or("", |(_, about)| about);
            let value = argument(option).map_or("", |_| " -r");
            let _ = writeln!(
                text,
                "complete -c apache-tuning -n '__fish_seen_subcommand_from {}' -l {}{value} -d {}",
                command.name,
                option.trim_start_matches('-'),
                quoted(about)
            );
        }
        if let Some(words) = choices(command.usage) {
            let _ = writeln!(
                text,
                "complete -c apache-tuning -n '__fish_seen_subcommand_from {}' -f -a {}",
                command.name,
                quoted(&words)
            );
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_option_of_a_usage_is_described_and_no_other() {
        let used: BTreeSet<&str> = COMMANDS.iter().flat_map(Command::options).collect();
        let described: BTreeSet<&str> = OPTIONS.iter().map(|(option, _)| *option).collect();
        assert_eq!(used, described);
        assert_eq!((argument("--root"), argument("--json")), (Some("DIR"), None));
    }
}
