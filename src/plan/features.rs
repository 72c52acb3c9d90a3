//! The lines of the features: written, taken over and taken out again, in whichever file they are.

use std::path::Path;

use super::words::{self, body};
use super::{Unreadable, Wish, Work, file_of};
use crate::feature::{Feature, Host, Want, Writes};
use crate::features::blocks;
use crate::httpd::core_directives;
use crate::httpd::normalise::{Sizes, Written, normalise};
use crate::httpd::read::Scope;
use crate::parameters::Group;
use crate::tree::{Node, Role};

impl Work<'_> {
    /// Returns the size of the server with the numbers that are asked for, else with those in force.
    fn sizes(&self) -> Sizes {
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
        normalise(mpm, self.ground.version, &written).sizes
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
            sizes: &|| self.sizes(),
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
        self.put_beside(feature, &want)?;
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

    /// Writes a feature's lines in files beside its own: the one that is read before, and those that are none of httpd's
    /// configuration. Lines that are not wanted go, and with them a file of this program's own in which nothing is left.
    fn put_beside(&mut self, feature: &Feature, want: &Want) -> Result<(), Unreadable> {
        let site = self.ground.site;
        if let Some(file) = (feature.early)(site) {
            let lines = (!want.early.is_empty()).then(|| words::early(want));
            self.put_block(feature, &file, lines.as_deref(), true)?;
        }
        for (file, role) in (feature.elsewhere)(site) {
            let lines = want.elsewhere.iter().find(|one| one.file == file).map(|one| &*one.lines);
            self.put_block(feature, &file, lines, role == Role::Beside)?;
        }
        Ok(())
    }

    fn put_block(
        &mut self,
        feature: &Feature,
        file: &Path,
        lines: Option<&str>,
        is_own: bool,
    ) -> Result<(), Unreadable> {
        // Without a block of ours in it, it may be whatever it likes.
        if lines.is_none()
            && !matches!(self.node(file)?, Node::File(text) if blocks::has(&text, feature.name))
        {
            return Ok(());
        }
        self.edit(file, |text| blocks::put(text, feature.name, lines))?;
        if is_own && self.text(file)?.trim_ascii().is_empty() {
            self.draft.put(file, Node::Absent);
        }
        Ok(())
    }

    /// Takes a feature's block out of all files that may hold it.
    pub(super) fn take_blocks_out(&mut self, feature: &Feature) -> Result<(), Unreadable> {
        let (file, drop_in) = (file_of(self.ground.site, feature), self.ground.site.drop_in());
        self.take_block_out(&file, feature.name)?;
        self.put_beside(feature, &Want::default())?;
        if file == drop_in { Ok(()) } else { self.take_block_out(&drop_in, feature.name) }
    }
}
