//! The grammar of a start script's files: as much of POSIX shell as such files are written in.
//!
//! Source: POSIX.1-2017, Shell Command Language, 2.2 to 2.10.

use super::lex::{NotUnderstood, Operator, Parsed, Token, Word, is_name};

/// How deep commands and words may nest. Files that people write stay below ten.
const DEEPEST: usize = 60;

/// Commands one after the other.
pub(super) type List = Vec<Item>;

/// Commands joined by `&&` and `||`.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub(super) first: Command,
    /// Whether each is joined by `&&`.
    pub(super) rest: Vec<(bool, Command)>,
}

/// One command.
#[derive(Debug, Clone)]
pub(super) struct Command {
    /// Its 1-based line.
    pub(super) line: u32,
    /// Whether a `!` stands before it.
    pub(super) negated: bool,
    pub(super) what: What,
}

/// What a command is.
#[derive(Debug, Clone)]
pub(super) enum What {
    Simple(Vec<Word>),
    /// Conditions with their lists, and the list behind `else`.
    If(Vec<(List, List)>, List),
    For(String, Vec<Word>, List),
    While(List, List),
    Case(Word, Vec<(Vec<Word>, List)>),
    Group(List),
    Function(String, List),
    /// What runs in a shell of its own: whatever it sets is gone with it.
    Apart,
}

/// Reads a file command by command.
pub(super) struct Parser<'t> {
    pub(super) text: &'t [u8],
    pub(super) at: usize,
    pub(super) line: u32,
    depth: usize,
    started: u32,
    /// The token that was looked at last.
    peeked: Option<Peeked>,
}

/// A token that was looked at and not taken.
struct Peeked {
    /// Where the blanks before it begin.
    from: usize,
    /// Where they end.
    begins: usize,
    /// Place and line behind it.
    behind: (usize, u32),
    token: Token,
}

impl<'t> Parser<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { text: text.as_bytes(), at: 0, line: 1, depth: 0, started: 1, peeked: None }
    }

    /// Returns the line at which the last command began.
    pub(super) fn started(&self) -> u32 {
        self.started
    }

    /// Returns the next command of the file; `None` at its end.
    pub(super) fn next_item(&mut self) -> Parsed<Option<Item>> {
        self.started = self.line;
        self.skip_separators()?;
        self.skip_blanks();
        self.started = self.line;
        if matches!(self.peek()?, Token::Operator(Operator::End)) {
            return Ok(None);
        }
        let item = self.item()?;
        Ok(Some(item))
    }

    pub(super) fn deeper<T>(&mut self, parse: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth >= DEEPEST {
            return Err(NotUnderstood);
        }
        self.depth += 1;
        let parsed = parse(self);
        self.depth -= 1;
        parsed
    }

    /// Tells whether the next token is the one that was looked at.
    fn is_peeked(&self) -> bool {
        self.peeked.as_ref().is_some_and(|peeked| (peeked.from..=peeked.begins).contains(&self.at))
    }

    fn token(&mut self) -> Parsed<Token> {
        if self.is_peeked()
            && let Some(peeked) = self.peeked.take()
        {
            (self.at, self.line) = peeked.behind;
            return Ok(peeked.token);
        }
        self.read_token()
    }

    fn peek(&mut self) -> Parsed<&Token> {
        if !self.is_peeked() {
            let (from, line) = (self.at, self.line);
            self.skip_blanks();
            let begins = self.at;
            let token = self.read_token();
            let behind = (self.at, self.line);
            (self.at, self.line) = (from, line);
            self.peeked = Some(Peeked { from, begins, behind, token: token? });
        }
        self.peeked.as_ref().map(|peeked| &peeked.token).ok_or(NotUnderstood)
    }

    fn peek_operator(&mut self) -> Parsed<Option<Operator>> {
        Ok(match self.peek()? {
            Token::Operator(operator) => Some(*operator),
            Token::Word(_) => None,
        })
    }

    /// Tells whether a reserved word comes next.
    fn is_next(&mut self, words: &[&str]) -> Parsed<bool> {
        Ok(
            matches!(self.peek()?, Token::Word(word) if word.plain().is_some_and(|text| words.contains(&text))),
        )
    }

    fn expect(&mut self, reserved: &str) -> Parsed<()> {
        match self.token()? {
            Token::Word(word) if word.plain() == Some(reserved) => Ok(()),
            _ => Err(NotUnderstood),
        }
    }

    fn skip_separators(&mut self) -> Parsed<()> {
        while matches!(self.peek_operator()?, Some(Operator::Newline | Operator::Semicolon)) {
            self.token()?;
        }
        Ok(())
    }

    fn skip_newlines(&mut self) -> Parsed<()> {
        while self.peek_operator()? == Some(Operator::Newline) {
            self.token()?;
        }
        Ok(())
    }

    /// Reads commands up to one of the reserved words, which stays.
    fn list(&mut self, ends: &[&str]) -> Parsed<List> {
        let mut list = Vec::new();
        loop {
            self.skip_separators()?;
            match self.peek()? {
                Token::Operator(Operator::End) => return Err(NotUnderstood),
                Token::Operator(Operator::DoubleSemicolon) if ends.contains(&";;") => return Ok(list),
                Token::Word(word) if word.plain().is_some_and(|text| ends.contains(&text)) => {
                    return Ok(list);
                }
                _ => list.push(self.item()?),
            }
        }
    }

    fn item(&mut self) -> Parsed<Item> {
        let first = self.pipeline()?;
        let mut rest = Vec::new();
        loop {
            let and = match self.peek_operator()? {
                Some(Operator::And) => true,
                Some(Operator::Or) => false,
                _ => break,
            };
            self.token()?;
            self.skip_newlines()?;
            rest.push((and, self.pipeline()?));
        }
        match self.peek_operator()? {
            Some(Operator::Background) => {
                self.token()?;
                let line = first.line;
                Ok(Item { first: Command { line, negated: false, what: What::Apart }, rest: Vec::new() })
            }
            Some(
                Operator::Newline
                | Operator::Semicolon
                | Operator::DoubleSemicolon
                | Operator::End
                | Operator::Close,
            ) => Ok(Item { first, rest }),
            // A reserved word may follow a compound command, such as `fi done`; nothing else may.
            None if self.is_next(&["then", "else", "elif", "fi", "do", "done", "esac", "}"])? => {
                Ok(Item { first, rest })
            }
            _ => Err(NotUnderstood),
        }
    }

    fn pipeline(&mut self) -> Parsed<Command> {
        let mut negated = false;
        while self.is_next(&["!"])? {
            self.token()?;
            negated = !negated;
        }
        let mut command = self.deeper(Self::command)?;
        command.negated = negated;
        while self.peek_operator()? == Some(Operator::Pipe) {
            self.token()?;
            self.skip_newlines()?;
            self.deeper(Self::command)?;
            command.what = What::Apart;
        }
        Ok(command)
    }

    fn command(&mut self) -> Parsed<Command> {
        // What a peek skips counts for the line.
        self.skip_blanks();
        let line = self.line;
        let told = |what| Command { line, negated: false, what };
        let word = match self.token()? {
            Token::Operator(Operator::Open) => {
                self.subshell()?;
                return Ok(told(What::Apart));
            }
            Token::Operator(_) => return Err(NotUnderstood),
            Token::Word(word) => word,
        };
        let what = match word.plain() {
            Some("if") => self.conditional()?,
            Some("for") => self.for_loop()?,
            Some("while" | "until") => {
                let condition = self.list(&["do"])?;
                self.expect("do")?;
                let body = self.list(&["done"])?;
                self.expect("done")?;
                What::While(condition, body)
            }
            Some("case") => self.choice()?,
            Some("{") => {
                let list = self.list(&["}"])?;
                self.expect("}")?;
                What::Group(list)
            }
            Some("then" | "else" | "elif" | "fi" | "do" | "done" | "esac" | "}") => {
                return Err(NotUnderstood);
            }
            Some("function") => match self.token()? {
                Token::Word(name) => {
                    let name = name.plain().ok_or(NotUnderstood)?.to_owned();
                    if self.peek_operator()? == Some(Operator::Open) {
                        self.token()?;
                        self.closing()?;
                    }
                    self.function(name)?
                }
                Token::Operator(_) => return Err(NotUnderstood),
            },
            _ => return self.simple(word).map(told),
        };
        Ok(told(what))
    }

    fn simple(&mut self, first: Word) -> Parsed<What> {
        if self.peek_operator()? == Some(Operator::Open) {
            let name = first.plain().ok_or(NotUnderstood)?.to_owned();
            self.token()?;
            self.closing()?;
            return self.function(name);
        }
        let mut words = vec![first];
        self.words(&mut words)?;
        Ok(What::Simple(words))
    }

    /// Takes all words that follow.
    fn words(&mut self, words: &mut Vec<Word>) -> Parsed<()> {
        while matches!(self.peek()?, Token::Word(_)) {
            if let Token::Word(word) = self.token()? {
                words.push(word);
            }
        }
        Ok(())
    }

    fn closing(&mut self) -> Parsed<()> {
        match self.token()? {
            Token::Operator(Operator::Close) => Ok(()),
            _ => Err(NotUnderstood),
        }
    }

    fn function(&mut self, name: String) -> Parsed<What> {
        self.skip_newlines()?;
        self.expect("{")?;
        let body = self.list(&["}"])?;
        self.expect("}")?;
        Ok(What::Function(name, body))
    }

    /// Skips commands in parentheses.
    fn subshell(&mut self) -> Parsed<()> {
        loop {
            match self.token()? {
                Token::Operator(Operator::Close) => return Ok(()),
                Token::Operator(Operator::End) => return Err(NotUnderstood),
                Token::Operator(Operator::Open) => self.deeper(Self::subshell)?,
                _ => {}
            }
        }
    }

    fn conditional(&mut self) -> Parsed<What> {
        let mut branches = Vec::new();
        loop {
            let condition = self.list(&["then"])?;
            self.expect("then")?;
            let body = self.list(&["elif", "else", "fi"])?;
            branches.push((condition, body));
            if self.is_next(&["elif"])? {
                self.token()?;
                continue;
            }
            let mut otherwise = Vec::new();
            if self.is_next(&["else"])? {
                self.token()?;
                otherwise = self.list(&["fi"])?;
            }
            self.expect("fi")?;
            return Ok(What::If(branches, otherwise));
        }
    }

    fn for_loop(&mut self) -> Parsed<What> {
        let Token::Word(name) = self.token()? else { return Err(NotUnderstood) };
        let name = name.plain().filter(|name| is_name(name)).ok_or(NotUnderstood)?.to_owned();
        self.skip_newlines()?;
        self.expect("in")?;
        let mut words = Vec::new();
        self.words(&mut words)?;
        self.skip_separators()?;
        self.expect("do")?;
        let body = self.list(&["done"])?;
        self.expect("done")?;
        Ok(What::For(name, words, body))
    }

    fn choice(&mut self) -> Parsed<What> {
        let Token::Word(word) = self.token()? else { return Err(NotUnderstood) };
        self.skip_newlines()?;
        self.expect("in")?;
        let mut arms = Vec::new();
        loop {
            self.skip_newlines()?;
            if self.is_next(&["esac"])? {
                self.token()?;
                return Ok(What::Case(word, arms));
            }
            if self.peek_operator()? == Some(Operator::Open) {
                self.token()?;
            }
            let mut patterns = Vec::new();
            loop {
                let Token::Word(pattern) = self.token()? else { return Err(NotUnderstood) };
                patterns.push(pattern);
                match self.token()? {
                    Token::Operator(Operator::Pipe) => {}
                    Token::Operator(Operator::Close) => break,
                    _ => return Err(NotUnderstood),
                }
            }
            let body = self.list(&["esac", ";;"])?;
            if self.peek_operator()? == Some(Operator::DoubleSemicolon) {
                self.token()?;
            }
            arms.push((patterns, body));
        }
    }
}
