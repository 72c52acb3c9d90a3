//! What a feature is. Everything outside `features/` reads these fields and matches on no name; which features there
//! are stands in [`crate::registry`].

use std::any::Any;
use std::path::PathBuf;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::distro::{Layout, Site};
use crate::features::blocks;
use crate::httpd::directives::Directive;
use crate::httpd::normalise::Sizes;
use crate::httpd::read::{Configuration, Start};
use crate::httpd::{Mpm, Version};
use crate::parameters::{Field, Group, Kind};
use crate::report::Finding;
use crate::rules::Rule;
use crate::tree::{Files, Role};

/// One thing that this program manages beside the MPM.
pub struct Feature {
    /// The key of its parameters, and the name of its block of lines.
    pub name: &'static str,
    /// What the documentation of that key says.
    pub doc: &'static str,
    /// The keys of its parameters; of each of them, where they are a list.
    pub fields: &'static [Field],
    /// Whether its parameters are a list of groups. An empty one takes out what this program put in.
    pub list: bool,
    /// The directives it manages, by parameter.
    pub directives: &'static [&'static [Directive]],
    /// The directives that only matter to it.
    pub watched: &'static [Directive],
    /// The modules that bring them and that can be switched; the first one is what `enabled` is about.
    pub modules: &'static [&'static Module],
    /// The rules about it that no other file has.
    pub rules: &'static [&'static Rule],
    /// Where its lines are written.
    pub writes: Writes,
    /// A file of its own beside that, for lines that something else has to read before its own; `None` on a host that has
    /// no place for one.
    pub early: fn(&Site) -> Option<PathBuf>,
    /// The files that are none of httpd's configuration and in which it may have lines, each with what it is for.
    pub elsewhere: fn(&Site) -> Vec<(PathBuf, Role)>,
    /// Makes its parameters of their JSON, once that is known to fit the schema.
    pub parse: fn(Value) -> serde_json::Result<Arc<dyn Group>>,
    /// Makes the schema of its parameters.
    #[cfg(feature = "schema")]
    pub schema: fn(schemars::SchemaGenerator) -> schemars::Schema,
    /// Looks up, once in a run, what `want` and the rules ask of a host beside its configuration.
    pub look: fn(&Place<'_>) -> Option<Box<dyn Any>>,
    /// Says what is wanted of a host.
    pub want: fn(&dyn Group, &Host<'_>, &mut Want),
    /// Tells whether lines in a section with this opening line are its settings too, and so are taken over.
    pub takes_over: fn(&[u8]) -> bool,
}

impl Feature {
    /// Returns the directives that a parameter sets.
    pub fn owned(&self) -> impl Iterator<Item = &'static Directive> {
        self.directives.iter().copied().flatten()
    }

    /// Returns how its parameters are brought to their type.
    pub const fn kind(&self) -> Kind {
        if self.list { Kind::Dicts(self.fields) } else { Kind::Dict(self.fields) }
    }

    /// Returns the path of the parameter by which it is switched on.
    pub fn switch(&self) -> String {
        if self.list { self.name.to_owned() } else { format!("{}.enabled", self.name) }
    }

    /// Returns the parameter that sets a directive.
    pub fn key_of(&self, word: &[u8]) -> Option<&'static str> {
        self.owned().find(|row| row.is(word)).map(|row| row.key)
    }

    /// Tells whether a line of this directive makes room for `wanted`: it sets what one of those sets, under whatever
    /// name.
    pub fn makes_room(&self, word: &[u8], wanted: &[Setting]) -> bool {
        let sets = |key| wanted.iter().any(|one| self.key_of(one.directive.as_bytes()) == Some(key));
        self.key_of(word).is_some_and(sets)
    }

    /// Tells whether a line of this directive made room for the block in `text`.
    pub fn made_room(&self, word: &[u8], text: &[u8]) -> bool {
        let sets = |key| blocks::first_words(text, self.name).any(|set| self.key_of(set) == Some(key));
        self.key_of(word).is_some_and(sets)
    }

    /// Tells whether the block in `text` sets something that is not asked for any more.
    pub fn lets_go(&self, text: &[u8], want: &Want) -> bool {
        let gone = |word| self.key_of(word).is_some() && !self.makes_room(word, &want.settings);
        blocks::first_words(text, self.name).any(gone) || (want.is_empty() && blocks::has(text, self.name))
    }
}

impl std::fmt::Debug for Feature {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// Makes the parameters of a feature: for [`Feature::parse`].
///
/// # Errors
/// Those of serde.
pub fn parse<T: Group + DeserializeOwned>(value: Value) -> serde_json::Result<Arc<dyn Group>> {
    Ok(Arc::new(serde_json::from_value::<T>(value)?))
}

/// Says that a feature has lines in httpd's configuration alone: for [`Feature::elsewhere`].
pub fn nowhere(_: &Site) -> Vec<(PathBuf, Role)> {
    Vec::new()
}

/// Tells whether a section is a condition, whose lines are the file's own where it holds: for [`Feature::takes_over`].
pub fn is_condition(section: &[u8]) -> bool {
    section.get(..3).is_some_and(|start| start.eq_ignore_ascii_case(b"<If"))
        && section.get(3).is_some_and(u8::is_ascii_alphabetic)
}

/// Where the lines of a feature are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writes {
    /// In the own drop-in.
    DropIn,
    /// In the file with the settings of its first module, whose lines are taken over.
    ModuleFile,
}

/// A module of httpd that can be switched.
#[derive(Debug)]
pub struct Module {
    /// Its name, as a2enmod and `APACHE_MODULES` have it.
    pub name: &'static str,
    /// Accepts the identifiers of its builds: `reqtimeout_module`.
    pub is: fn(&str) -> bool,
    /// The family's package that brings it.
    pub package: fn(&Layout) -> &'static str,
    /// Modules that it needs beside those that the family's own files name.
    pub needs: &'static [&'static Module],
}

impl Module {
    /// Returns the row of a module of httpd's own source tree.
    pub const fn stock(name: &'static str, is: fn(&str) -> bool) -> Self {
        Self { name, is, package: |layout| layout.package, needs: &[] }
    }
}

/// Where a feature looks.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    /// The host's files.
    pub files: &'a dyn Files,
    /// Where things are.
    pub site: &'a Site,
    /// The configuration as it is.
    pub configuration: &'a Configuration,
    /// Where reading it starts.
    pub start: &'a Start,
}

/// What the features have looked up.
#[derive(Debug, Default)]
pub struct Looks(Vec<Box<dyn Any>>);

impl Looks {
    /// Looks for all of them.
    pub fn new(features: &[&Feature], place: &Place<'_>) -> Self {
        Self(features.iter().filter_map(|feature| (feature.look)(place)).collect())
    }

    /// Returns what was looked up of this type.
    pub fn get<T: Any>(&self) -> Option<&T> {
        self.0.iter().find_map(|look| look.downcast_ref())
    }
}

/// What a feature knows when it says what it wants.
pub struct Host<'a> {
    /// Where it looks.
    pub place: Place<'a>,
    /// httpd's version.
    pub version: Version,
    /// The MPM after the change.
    pub mpm: Mpm,
    /// What the features have looked up.
    pub looks: &'a Looks,
    /// Works out the size of the server after the change.
    pub sizes: &'a dyn Fn() -> Sizes,
}

impl Host<'_> {
    /// Tells whether a module is loaded at present.
    pub fn loads(&self, module: &Module) -> bool {
        self.place.configuration.modules.iter().any(|loaded| (module.is)(&loaded.identifier))
    }
}

/// One line that a feature wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The directive's canonical name.
    pub directive: &'static str,
    /// The parameter's path: `keepalive.timeout`.
    pub parameter: String,
    /// Its arguments, as httpd's words have them once quotes are off.
    pub words: Vec<String>,
    /// The module whose guard it stands in, if any.
    pub guard: Option<String>,
}

/// A line that is no parameter's value, or a section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// A directive with its arguments.
    Line(&'static str, Vec<String>),
    /// A section: its name, its argument, what is in it.
    Section(&'static str, String, Vec<Item>),
}

impl Item {
    /// Returns a line.
    pub fn line<W: Into<String>>(directive: &'static str, words: impl IntoIterator<Item = W>) -> Self {
        Self::Line(directive, words.into_iter().map(Into::into).collect())
    }
}

/// Lines of a feature in a file that is none of httpd's configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Elsewhere {
    /// One of [`Feature::elsewhere`].
    pub file: PathBuf,
    /// The lines, in the language of that file.
    pub lines: String,
}

/// What a feature wants of a host.
#[derive(Debug, Default)]
pub struct Want {
    /// The lines, in the order in which they are written.
    pub settings: Vec<Setting>,
    /// Further lines and sections, behind those.
    pub items: Vec<Item>,
    /// Lines in other files; a file that is not named here loses those that it has.
    pub elsewhere: Vec<Elsewhere>,
    /// Lines for the file that is read before.
    pub early: Vec<Item>,
    /// Writes all of it to the drop-in, whatever the feature usually does.
    pub in_drop_in: bool,
    /// Whether the first module is loaded; `None` leaves it as it is.
    pub module: Option<bool>,
    /// Further modules of the feature that are needed then.
    pub also: Vec<&'static Module>,
    /// Modules that are taken out, in this order.
    pub off: Vec<&'static Module>,
    /// Modules that are as they were before this program's first change.
    pub back: Vec<&'static Module>,
    /// What is said where the module is left as it is and not loaded.
    pub idle: Option<Finding>,
    /// Takes out what this program put in, and nothing else.
    pub gone: bool,
    /// What prevents it, or is worth saying.
    pub findings: Vec<Finding>,
}

impl Want {
    /// Tells whether nothing is to be written.
    pub fn is_empty(&self) -> bool {
        self.settings.is_empty() && self.items.is_empty()
    }

    /// Puts the lines of modules in a guard that asks for this name.
    pub fn guard(&mut self, feature: &Feature, guard: &str) {
        for setting in &mut self.settings {
            if feature.owned().any(|row| row.name == setting.directive && row.module.is_some()) {
                setting.guard = Some(guard.to_owned());
            }
        }
    }

    /// Wants each parameter that is given in the directive of its row; a list in one line an element.
    pub fn given(&mut self, feature: &Feature, group: &dyn Group) {
        self.given_in(feature, group, |_| true);
    }

    /// Wants what [`Self::given`] does, in those directives that the host's build knows.
    pub fn given_in(&mut self, feature: &Feature, group: &dyn Group, known: impl Fn(&Directive) -> bool) {
        for (key, words) in group.given() {
            let Some(row) = feature.owned().find(|row| row.key == key && known(row)) else { continue };
            for word in words {
                let word = row.spelled(&word).to_owned();
                self.push(feature, row, vec![word]);
            }
        }
    }

    /// Wants the directive of a parameter with these arguments.
    pub fn set(&mut self, feature: &Feature, key: &str, words: Vec<String>) {
        if let Some(row) = feature.owned().find(|row| row.key == key) {
            self.push(feature, row, words);
        }
    }

    /// Wants a directive of this name, where a parameter has several.
    pub fn set_row(&mut self, feature: &Feature, name: &str, words: Vec<String>) {
        if let Some(row) = feature.owned().find(|row| row.name == name) {
            self.push(feature, row, words);
        }
    }

    fn push(&mut self, feature: &Feature, row: &'static Directive, words: Vec<String>) {
        let parameter = format!("{}.{}", feature.name, row.key);
        self.settings.push(Setting { directive: row.name, parameter, words, guard: None });
    }
}

/// The groups of parameters that a task gives, beside those of the MPM.
#[derive(Debug, Clone, Default)]
pub struct Groups(Vec<(&'static Feature, Arc<dyn Group>)>);

impl Groups {
    /// Takes the groups out of an object, so that only other keys are left in it.
    ///
    /// # Errors
    /// Those of serde.
    pub fn take(
        features: &'static [&'static Feature],
        from: &mut serde_json::Map<String, Value>,
    ) -> serde_json::Result<Self> {
        let mut groups = Vec::new();
        for feature in features {
            if let Some(value) = from.remove(feature.name) {
                groups.push((*feature, (feature.parse)(value)?));
            }
        }
        Ok(Self(groups))
    }

    /// Returns the groups, in the registry's order.
    pub fn iter(&self) -> impl Iterator<Item = (&'static Feature, &dyn Group)> {
        self.0.iter().map(|(feature, group)| (*feature, &**group))
    }

    /// Returns the group of this type.
    pub fn get<T: Group>(&self) -> Option<&T> {
        self.iter().find_map(|(_, group)| (group as &dyn Any).downcast_ref())
    }

    /// Tells whether a group decides the value of a parameter: it is given, or the feature's lines stand together in a
    /// file of their own.
    pub fn decides(&self, name: &str, key: &str) -> bool {
        self.iter().filter(|(feature, _)| feature.name == name).any(|(feature, group)| {
            feature.writes == Writes::ModuleFile || group.given().iter().any(|(given, _)| *given == key)
        })
    }

    /// Tells whether the group of this name is given.
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(feature, _)| feature.name == name)
    }
}

impl PartialEq for Groups {
    fn eq(&self, other: &Self) -> bool {
        let given = |groups: &Self| -> Vec<_> {
            groups.iter().map(|(feature, group)| (feature.name, group.given())).collect()
        };
        given(self) == given(other)
    }
}

impl Eq for Groups {}
