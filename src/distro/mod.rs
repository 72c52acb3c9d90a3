//! Where each distribution family keeps what: [`LAYOUTS`], one row a family, and which row a host is ([`detect()`]).

mod detect;
mod layouts;
mod stock;

use std::path::{Path, PathBuf};

pub use detect::{NotFound, detect, others};
pub use layouts::LAYOUTS;

use crate::httpd::Mpm;
use crate::httpd::start::{Launch, Script};
use crate::tree::{Files, resolve};

/// How a family chooses which modules are loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModuleSwitch {
    /// Links in an `enabled` directory to files in an `available` one, with markers: Debian's a2enmod.
    LinkFarm,
    /// `LoadModule` lines commented and uncommented in one file.
    Lines {
        /// The file, below the configuration directory.
        file: &'static str,
    },
    /// A variable in a file that the start script reads: SUSE.
    Sysconfig {
        /// The file, absolute.
        file: &'static str,
    },
    /// Built in: only reported.
    BuiltIn,
}

/// How httpd comes to read the own drop-in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DropIn {
    /// By a link that a2enconf makes.
    Linked,
    /// By a pattern in the main file.
    Included,
    /// By a line of its own at the end of the main file.
    Line(&'static str),
}

/// Where a second instance of the server keeps its configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Instances {
    /// In a directory: this text and the instance's name. httpd is started with `-d`.
    Directory(&'static str),
    /// In a directory, this text and the instance's name, that holds a main file. httpd is started with `-f`, and
    /// ServerRoot is that of the first one.
    Beside(&'static str),
    /// In a main file beside the first one, with the rest shared; `{name}` stands for the name. httpd is started
    /// with `-f`.
    File(&'static str),
    /// There are none that could be told.
    None,
}

/// One family of distributions. Paths are below the configuration directory unless they start with `/`.
#[derive(Debug)]
pub struct Layout {
    /// The family's name, and that of its fixtures.
    pub name: &'static str,
    /// Words of ID or ID_LIKE in os-release that mean this family.
    pub os_ids: &'static [&'static str],
    /// The directory of the configuration: `/etc/apache2`.
    pub config_dir: &'static str,
    /// The main file: `apache2.conf`.
    pub main_file: &'static str,
    /// What else is there on a host of this family and on no other with that main file; empty where the main file
    /// alone tells.
    pub mark: &'static str,
    /// The compiled-in ServerRoot.
    pub server_root: &'static str,
    /// The server's binary.
    pub binary: &'static str,
    /// The program that starts the server by hand, with the words before `start`; empty where the binary's own `-k`
    /// does (Red Hat's script only asks systemd, which then has not what was started by hand).
    pub control: &'static [&'static str],
    /// The service unit, without `.service`.
    pub unit: &'static str,
    /// The user that serves requests.
    pub user: &'static str,
    /// How modules are switched.
    pub modules: ModuleSwitch,
    /// The program of an MPM as `LoadModule` names it, `{mpm}` standing for its name; where the MPM is built in, the
    /// server's binary for it.
    pub mpm_program: &'static str,
    /// What to install for an MPM, `{mpm}` standing for its name.
    pub mpm_package: &'static str,
    /// The file that holds an MPM's numbers, `{mpm}` standing for its name.
    pub mpm_file: &'static str,
    /// Where the own drop-in is written.
    pub drop_in: &'static str,
    /// How the drop-in comes to be read.
    pub drop_in_by: DropIn,
    /// Where the settings of a module that is packaged by itself are written, `{module}` standing for its name.
    pub module_conf: &'static str,
    /// The files whose `LoadModule` lines load modules, the usual one for such a module first; `*` stands for any name.
    /// Where a start script loads modules, the file with its variables.
    pub module_load: &'static [&'static str],
    /// What to install for the server itself.
    pub package: &'static str,
    /// The file of variables that the start script reads, or empty. A second instance may have one of its own.
    pub variables: &'static str,
    /// What starts the server.
    pub script: Script,
    /// Where further instances are.
    pub instances: Instances,
    /// Identifier and source file of the modules built into the binary.
    pub built_in: &'static [(&'static str, &'static str)],
    /// The MPM's numbers as the distribution ships them, for giving them back.
    pub stock: fn(Mpm) -> &'static [(&'static str, &'static str)],
}

/// One server on one host: a family's row with the instance's paths filled in.
#[derive(Debug, Clone)]
pub struct Site {
    /// The family.
    pub layout: &'static Layout,
    /// The instance's name, if it is not the main one.
    pub instance: Option<String>,
    /// The directory of the configuration: `/etc/apache2` or `/etc/apache2-NAME`.
    pub config_dir: PathBuf,
    /// ServerRoot until a `ServerRoot` line says otherwise.
    pub server_root: PathBuf,
    /// The main file, where the server is started with another one than the family's.
    pub main: Option<PathBuf>,
    /// The distribution's ID, as os-release or the facts have it; empty where neither does.
    pub distribution: String,
    /// Its VERSION_ID; empty where it is not known.
    pub distribution_version: String,
}

impl Site {
    /// Returns a path of the layout: below the configuration directory unless it is absolute.
    pub fn path(&self, path: &str) -> PathBuf {
        self.config_dir.join(path)
    }

    /// Returns the directory of the configuration with every link on the way to it followed: what is changed, staged,
    /// recorded and undone has its paths below this one.
    pub fn real_config_dir(&self, files: &dyn Files) -> PathBuf {
        resolve(files, &self.config_dir).unwrap_or_else(|_| self.config_dir.clone())
    }

    /// Tells whether a path is one that this instance shares with no other server.
    pub fn is_own(&self, files: &dyn Files, path: &Path) -> bool {
        match self.layout.instances {
            Instances::File(_) => path == self.main_file() || path == self.drop_in(),
            _ => {
                path.starts_with(self.real_config_dir(files))
                    || self.switch_file().is_some_and(|file| path == file)
            }
        }
    }

    /// Tells whether a path belongs to an instance, as seen from the main server.
    pub fn is_of_an_instance(&self, files: &dyn Files, path: &Path) -> bool {
        let (Instances::Directory(prefix) | Instances::Beside(prefix)) = self.layout.instances else {
            return false;
        };
        let text = path.to_string_lossy();
        let switch = match self.layout.modules {
            ModuleSwitch::Sysconfig { file } => text.starts_with(&format!("{file}@")),
            _ => false,
        };
        switch || (text.starts_with(prefix) && !path.starts_with(self.real_config_dir(files)))
    }

    /// Returns the main configuration file.
    pub fn main_file(&self) -> PathBuf {
        self.main.clone().unwrap_or_else(|| self.usual_main_file())
    }

    /// Returns the main configuration file of this family or instance.
    pub fn usual_main_file(&self) -> PathBuf {
        match (&self.instance, self.layout.instances) {
            (Some(name), Instances::File(file)) => self.path(&file.replace("{name}", name)),
            _ => self.path(self.layout.main_file),
        }
    }

    /// Returns the ServerRoot of this family or instance, in force until a `ServerRoot` line.
    pub fn usual_server_root(&self) -> PathBuf {
        match (&self.instance, self.layout.instances) {
            (Some(_), Instances::Directory(_)) => self.config_dir.clone(),
            _ => PathBuf::from(self.layout.server_root),
        }
    }

    /// Returns the file of variables that the start script reads; empty where there is none.
    pub fn variables(&self) -> PathBuf {
        match (self.layout.variables, &self.instance, self.layout.script) {
            ("", ..) => PathBuf::new(),
            (file, Some(name), Script::StartApache2) => PathBuf::from(format!("{file}@{name}")),
            (file, Some(name), Script::OpenRc { .. }) => PathBuf::from(format!("{file}.{name}")),
            (file, ..) => self.path(file),
        }
    }

    /// Takes the main file and the ServerRoot that the server is started with.
    pub fn take(&mut self, launch: &Launch) {
        if let Some(root) = &launch.server_root {
            self.server_root.clone_from(root);
        }
        self.main = launch.main_file.clone().or(self.main.take());
    }

    /// Returns the file whose lines or variables switch modules; `None` where links do, or nothing does.
    pub fn switch_file(&self) -> Option<PathBuf> {
        match self.layout.modules {
            ModuleSwitch::Lines { file } => Some(self.path(file)),
            // An instance has its own.
            ModuleSwitch::Sysconfig { file } => Some(match &self.instance {
                Some(name) => PathBuf::from(format!("{file}@{name}")),
                None => PathBuf::from(file),
            }),
            ModuleSwitch::LinkFarm | ModuleSwitch::BuiltIn => None,
        }
    }

    /// Returns the arguments by which httpd is told that it is this instance; none for the main one.
    pub fn arguments(&self) -> Vec<String> {
        let text = |path: &Path| path.to_string_lossy().into_owned();
        match (&self.instance, self.layout.instances) {
            (Some(_), Instances::Directory(_)) => vec!["-d".to_owned(), text(&self.config_dir)],
            (Some(_), Instances::File(_) | Instances::Beside(_)) => {
                vec!["-f".to_owned(), text(&self.usual_main_file())]
            }
            _ => Vec::new(),
        }
    }

    /// Tells whether it is an instance with nothing of its own but a main file.
    fn has_a_file_alone(&self) -> bool {
        self.instance.is_some() && matches!(self.layout.instances, Instances::File(_))
    }

    /// Returns the file that holds the numbers of an MPM.
    pub fn mpm_file(&self, mpm: Mpm) -> PathBuf {
        if self.has_a_file_alone() {
            return self.drop_in();
        }
        self.path(&self.layout.mpm_file.replace("{mpm}", mpm.name()))
    }

    /// Returns the distribution's file with the numbers of an MPM, where this is an instance that has another one.
    pub fn shared_mpm_file(&self, mpm: Mpm) -> Option<PathBuf> {
        self.has_a_file_alone().then(|| self.path(&self.layout.mpm_file.replace("{mpm}", mpm.name())))
    }

    /// Returns the file that holds the settings of a module that is packaged by itself.
    pub fn module_conf(&self, module: &str) -> PathBuf {
        if self.has_a_file_alone() {
            return self.drop_in();
        }
        self.path(&self.layout.module_conf.replace("{module}", module))
    }

    /// Returns the own drop-in. That of an instance which shares all other files with the first server stands beside its
    /// main file, under a name that is no instance's.
    pub fn drop_in(&self) -> PathBuf {
        match &self.instance {
            Some(name) if self.has_a_file_alone() => {
                self.main_file().with_file_name(format!("zz-apache-tuning.{name}"))
            }
            _ => self.path(self.layout.drop_in),
        }
    }

    /// Returns the line of the main file that includes the drop-in; `None` where it is read without one.
    pub fn drop_in_line(&self) -> Option<String> {
        if self.has_a_file_alone() {
            return Some(format!("Include {}\n", self.drop_in().display()));
        }
        match self.layout.drop_in_by {
            DropIn::Line(line) => Some(line.to_owned()),
            DropIn::Linked | DropIn::Included => None,
        }
    }

    /// Returns the service unit's name: `apache2`, `apache2@NAME`.
    pub fn unit(&self) -> String {
        match &self.instance {
            Some(name) => format!("{}@{name}", self.layout.unit),
            None => self.layout.unit.to_owned(),
        }
    }
}
