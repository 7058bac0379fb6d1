//! Texts looked for in names, whatever their case, on both databases.

use super::statement::Statement;

/// Adds a condition that one of these columns contains a text, whatever the case of its letters.
///
/// SQLite knows the cases of ASCII alone, so the spellings that people use are looked for beside the small one; its
/// LIKE takes care of ASCII within them.
pub(super) fn contains(query: Statement, columns: &[&str], text: &str) -> Statement {
    let mut query = query.push("(");
    let mut gap = "";
    for column in columns {
        for spelling in spellings(text) {
            query = query
                .push(&format!("{gap}LOWER({column}) LIKE ? ESCAPE '!' OR {column} LIKE ? ESCAPE '!'"))
                .bind(spelling.clone())
                .bind(spelling);
            gap = " OR ";
        }
    }
    query.push(")")
}

/// Returns the patterns of a text in small letters, capitals, as a name, and as it was written.
fn spellings(text: &str) -> Vec<String> {
    let small = text.to_lowercase();
    let mut all = vec![small.clone(), text.to_uppercase(), capitalised(&small), text.to_owned()];
    all.sort_unstable();
    all.dedup();
    // LIKE's own wildcards in the text stand for themselves.
    let literal = |text: &String| text.replace('!', "!!").replace('%', "!%").replace('_', "!_");
    all.iter().map(|text| format!("%{}%", literal(text))).collect()
}

fn capitalised(small: &str) -> String {
    let mut begins = true;
    let mut name = String::with_capacity(small.len());
    for letter in small.chars() {
        if begins {
            name.extend(letter.to_uppercase());
        } else {
            name.push(letter);
        }
        begins = !letter.is_alphanumeric();
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_stand_for_themselves_in_every_spelling() {
        assert_eq!(spellings("öl_50%!"), ["%ÖL!_50!%!!%", "%Öl!_50!%!!%", "%öl!_50!%!!%"]);
    }

    #[test]
    fn every_word_of_a_name_begins_with_a_capital() {
        assert_eq!(capitalised("ödön élan-ähn"), "Ödön Élan-Ähn");
    }
}
