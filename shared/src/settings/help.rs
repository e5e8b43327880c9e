//! A program's settings as `--help` prints them.

use super::{
    program::Program,
    setting::{DescribedSetting, Fallback, Group},
};

/// Columns of a line.
const COLUMNS_MAX: usize = 88;
const INDENT: &str = "      ";
const NAME_COLUMNS: usize = 28;

impl Program {
    /// The end of `--help`: each setting with its default, then what it means
    /// and allows, and the program's notes.
    #[must_use]
    pub fn help(&self) -> String {
        let mut lines = vec!["Settings: environment variables and their defaults.".to_owned()];
        if self.settings.iter().any(|setting| setting.is_secret()) {
            lines.push("A secret may also come from a file: NAME_FILE is the path.".to_owned());
        }
        for group in Group::ALL {
            let mut settings = self.of_group(group).peekable();
            if settings.peek().is_some() {
                lines.extend([String::new(), format!("{}:", group.title())]);
            }
            lines.extend(settings.flat_map(row));
        }
        lines.extend([String::new(), self.notes.to_owned()]);
        lines.join("\n")
    }
}

fn row(setting: &dyn DescribedSetting) -> Vec<String> {
    let default = match setting.default() {
        Fallback::Required => "required",
        Fallback::None => "none",
        Fallback::Value(words) | Fallback::Computed(words) => words,
    };
    let secret = if setting.is_secret() { " (secret)" } else { "" };
    let allowed = match setting.allowed() {
        words if words.is_empty() => String::new(),
        words => format!(" Allowed: {words}."),
    };
    let meaning = format!("{}{allowed}", setting.meaning());
    let mut lines = vec![format!("  {:NAME_COLUMNS$} {default}{secret}", setting.name())];
    lines.extend(
        wrap(&meaning, COLUMNS_MAX - INDENT.len())
            .iter()
            .map(|line| format!("{INDENT}{line}")),
    );
    lines
}

/// Breaks `text` at its spaces into lines of at most `columns` characters.
fn wrap(text: &str, columns: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= columns => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Number, SecretText, Setting};

    static LANES: Setting<Number> = Setting {
        name: "LANES",
        group: Group::Work,
        form: Number { min: 1, max: 64 },
        default: Fallback::Value("4"),
        meaning: "Batches side by side. Each of them is one transaction, and each of them needs one connection to PostgreSQL.",
    };
    static TOKEN: Setting<SecretText> = Setting {
        name: "TOKEN",
        group: Group::Listeners,
        form: SecretText("16 characters or more"),
        default: Fallback::None,
        meaning: "Unlocks the page.",
    };
    static PROGRAM: Program = Program {
        name: "test",
        settings: &[&LANES, &TOKEN],
        notes: "Exit codes: 0 done.",
    };

    #[test]
    fn help_has_a_group_a_default_and_wrapped_lines_for_each_setting() {
        let expected = "\
Settings: environment variables and their defaults.
A secret may also come from a file: NAME_FILE is the path.

Listeners:
  TOKEN                        none (secret)
      Unlocks the page. Allowed: 16 characters or more.

Batches, lanes and the end of a process:
  LANES                        4
      Batches side by side. Each of them is one transaction, and each of them needs one
      connection to PostgreSQL. Allowed: 1 to 64.

Exit codes: 0 done.";
        assert_eq!(PROGRAM.help(), expected);
    }
}
