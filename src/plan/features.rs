//! The lines of the features: written, taken over and taken out again, in whichever file they are.

use std::path::Path;

use super::words::{self, body};
use super::{Unreadable, Wish, Work, file_of};
use crate::feature::{Feature, Host, Sizes, Want, Writes};
use crate::features::blocks;
use crate::httpd::core_directives;
use crate::httpd::normalise::{Written, normalise};
use crate::httpd::read::Scope;
use crate::parameters::Group;
use crate::tree::Node;

impl Work<'_> {
    /// Returns the size of the server with the numbers that are asked for, else with those in force.
    fn sizes(&self) -> Option<Sizes> {
        let (mpm, configuration) = (self.ground.mpm, self.ground.configuration);
        let mut written = Written::new();
        for row in core_directives::mpm_rows().filter(|row| row.mpms.contains(&mpm)) {
            let asked = self.numbers.as_ref().map(|all| all.iter().find(|(name, _)| *name == row.name));
            let text = match asked {
                Some(Some((_, number))) => Some(number.to_string()),
                // One that is left out has httpd's own default.
                Some(None) if row.one_set => None,
                _ => {
                    let line = configuration.deciding(row.name, Scope::Main);
                    line.and_then(|line| line.words.first().cloned())
                }
            };
            if let Some(text) = text {
                written.insert(row.name, text);
            }
        }
        let used = normalise(mpm, self.ground.version, &written).used;
        let number = |name: &str| used.get(name).and_then(|text| text.parse::<u64>().ok());
        let threads = if mpm.threaded() { number("ThreadsPerChild")? } else { 1 };
        Some(Sizes { processes: number("MaxRequestWorkers")?.div_ceil(threads.max(1)), threads })
    }

    /// Writes what a feature wants, and switches its modules.
    pub(super) fn feature(&mut self, feature: &'static Feature, group: &dyn Group) -> Result<(), Unreadable> {
        let ground = self.ground;
        let mut want = Want::default();
        let host = Host {
            place: ground.place(),
            version: ground.version,
            mpm: ground.mpm,
            looks: ground.looks,
            sizes: self.sizes(),
        };
        (feature.want)(group, &host, &mut want);
        self.findings.append(&mut want.findings);
        if want.gone {
            return self.take_feature_out(feature);
        }
        let drop_in = ground.site.drop_in();
        let file = if want.in_drop_in { drop_in.clone() } else { file_of(ground.site, feature) };
        self.wishes.extend(want.settings.iter().map(|setting| Wish {
            directive: setting.directive,
            parameter: setting.parameter.clone(),
            value: setting.words.join(" "),
            file: file.clone(),
        }));
        for other in [file_of(ground.site, feature), drop_in.clone()] {
            // What was there before stands again before the rest is written.
            let moves = other != file && blocks::has(&self.text(&other)?, feature.name);
            if moves || (other == file && feature.lets_go(&self.text(&file)?, &want)) {
                self.take_block_out(&other, feature.name)?;
                if other == drop_in && (moves || want.is_empty()) {
                    self.drop_empty_drop_in()?;
                }
            }
        }
        let body_is_empty = want.is_empty();
        if !body_is_empty {
            let body = body(&want);
            let takes_over = feature.writes == Writes::ModuleFile && file == file_of(ground.site, feature);
            self.edit(&file, |text| {
                if !takes_over {
                    return blocks::put(text, feature.name, Some(&body));
                }
                let makes_room = |word: &[u8]| feature.makes_room(word, &want.settings);
                let rest = blocks::take_over(text, feature.name, makes_room, feature.takes_over);
                blocks::put(&rest, feature.name, Some(&body))
            })?;
        }
        self.write_early(feature, &want)?;
        self.put_elsewhere(feature, &want.elsewhere)?;
        let setting = feature.switch();
        if let Some(module) = feature.modules.first() {
            self.switch_module(module, want.module, want.idle, &setting)?;
        }
        for module in want.back {
            self.restore_module(module)?;
        }
        for module in want.off {
            self.take_out(module, &format!("{}.remove", feature.name))?;
        }
        for module in want.also {
            self.switch_module(module, Some(true), None, &setting)?;
        }
        if file == drop_in && !body_is_empty { self.enable_drop_in() } else { Ok(()) }
    }

    /// Takes out what this tool put in for a feature, and switches its modules back.
    pub(super) fn take_feature_out(&mut self, feature: &Feature) -> Result<(), Unreadable> {
        let file = file_of(self.ground.site, feature);
        if feature.writes == Writes::ModuleFile && file != self.ground.site.drop_in() {
            self.give_back(&file)?;
        }
        self.take_blocks_out(feature)?;
        self.drop_empty_drop_in()?;
        for module in feature.modules {
            self.restore_module(module)?;
        }
        Ok(())
    }

    /// Writes the lines of a feature that something else has to read before its own, or takes them out.
    fn write_early(&mut self, feature: &Feature, want: &Want) -> Result<(), Unreadable> {
        let Some(path) = (feature.early)(self.ground.site) else { return Ok(()) };
        if want.early.is_empty() {
            return self.take_early_out(&path, feature);
        }
        let body = words::early(want);
        self.edit(&path, |text| blocks::put(text, feature.name, Some(&body)))
    }

    /// Takes the block of a feature out of the file that is read before, and the file once nothing is left in it.
    fn take_early_out(&mut self, path: &Path, feature: &Feature) -> Result<(), Unreadable> {
        let had = matches!(self.node(path)?, Node::File(text) if blocks::has(&text, feature.name));
        self.take_block_out(path, feature.name)?;
        if had && self.text(path)?.trim_ascii().is_empty() {
            self.draft.put(path, Node::Absent);
        }
        Ok(())
    }

    /// Takes a feature's block out of all files that may hold it.
    pub(super) fn take_blocks_out(&mut self, feature: &Feature) -> Result<(), Unreadable> {
        if let Some(path) = (feature.early)(self.ground.site) {
            self.take_early_out(&path, feature)?;
        }
        let (file, drop_in) = (file_of(self.ground.site, feature), self.ground.site.drop_in());
        self.take_block_out(&file, feature.name)?;
        self.put_elsewhere(feature, &[])?;
        if file == drop_in { Ok(()) } else { self.take_block_out(&drop_in, feature.name) }
    }
}
