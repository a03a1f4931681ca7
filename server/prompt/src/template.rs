use std::time::{SystemTime, UNIX_EPOCH};

use inference::ModelInfo;
use minijinja::{
    Environment, Error, ErrorKind, UndefinedBehavior, Value, context, syntax::SyntaxConfig,
    value::Kwargs,
};

/// Steps a template may take. Real ones take some thousands for a long conversation.
const FUEL: u64 = 2_000_000;

/// Longest template that is looked at, in bytes. Real ones have up to 20,000.
const MAX_TEMPLATE: usize = 1 << 20;

/// A message as templates see it.
pub(crate) struct TemplateMessage {
    pub role: &'static str,
    pub content: String,
}

/// Renders a chat template the way the `transformers` library does.
pub(crate) fn render(
    template: &str,
    info: &ModelInfo,
    messages: &[TemplateMessage],
) -> Result<String, Error> {
    if template.len() > MAX_TEMPLATE {
        return Err(Error::new(ErrorKind::InvalidOperation, "the template is too long"));
    }
    let source = without_generation_tags(template);
    let mut environment = Environment::new();
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?;
    environment.set_syntax(syntax);
    environment.set_undefined_behavior(UndefinedBehavior::Lenient);
    environment.set_fuel(Some(FUEL));
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    environment.add_function("raise_exception", |message: String| -> Result<Value, Error> {
        Err(Error::new(ErrorKind::InvalidOperation, message))
    });
    environment.add_function("strftime_now", |format: String| strftime(&format, now()));
    environment.add_filter("tojson", to_json);
    environment.add_template("chat", &source)?;
    let messages: Vec<Value> = messages
        .iter()
        .map(|message| context! { role => message.role, content => message.content.as_str() })
        .collect();
    environment.get_template("chat")?.render(context! {
        messages,
        add_generation_prompt => true,
        bos_token => info.bos_token.as_str(),
        eos_token => info.eos_token.as_str(),
        enable_thinking => false,
    })
}

/// The template without `{% generation %}` and `{% endgeneration %}`, which mark what is trained on
/// and which this engine does not know.
fn without_generation_tags(template: &str) -> String {
    let mut kept = String::with_capacity(template.len());
    let mut rest = template;
    while let Some(start) = rest.find("{%") {
        let (before, tag) = rest.split_at(start);
        let Some(end) = tag.find("%}").map(|end| end + 2) else { break };
        let (tag, after) = tag.split_at(end);
        kept.push_str(before);
        let name = tag.trim_matches(['{', '%', '}', '-', '+']).trim();
        if name == "generation" || name == "endgeneration" {
            // A comment has the same effect on the white space around it.
            kept.push_str(&tag.replace("{%", "{#").replace("%}", "#}"));
        } else {
            kept.push_str(tag);
        }
        rest = after;
    }
    kept + rest
}

/// `json.dumps` of Python without `ensure_ascii`: the engine's own filter, with its escapes for HTML
/// taken back.
#[expect(clippy::needless_pass_by_value, reason = "the signature of a filter")]
fn to_json(value: &Value, args: Kwargs) -> Result<Value, Error> {
    let indent: Option<Value> = args.get("indent")?;
    // Accepted and without effect: these are what `transformers` and Python do by default.
    for name in ["ensure_ascii", "sort_keys", "separators"] {
        let _: Option<Value> = args.get(name)?;
    }
    args.assert_all_used()?;
    let escaped = minijinja::filters::tojson(value, indent, Kwargs::from_iter(NO_ARGUMENTS))?;
    let escaped = escaped.as_str().unwrap_or_default();
    let mut plain = String::with_capacity(escaped.len());
    let mut rest = escaped;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        plain.push_str(before);
        let character = match escape.get(..6) {
            Some("\\u003c") => Some("<"),
            Some("\\u003e") => Some(">"),
            Some("\\u0026") => Some("&"),
            Some("\\u0027") => Some("'"),
            _ => None,
        };
        // Otherwise the backslash and what it escapes, so that an escaped backslash hides the next.
        let length = if character.is_some() { 6 } else { 2.min(escape.len()) };
        let (escape, after) = escape.split_at(length);
        plain.push_str(character.unwrap_or(escape));
        rest = after;
    }
    Ok(Value::from_safe_string(plain + rest))
}

const NO_ARGUMENTS: [(&str, Value); 0] = [];

/// Seconds since 1970 in universal time.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs())
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] =
    ["Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday"];

/// The codes of `strftime` that chat templates use, in universal time.
fn strftime(format: &str, seconds: u64) -> String {
    let days = seconds / 86_400;
    let (year, month, day) = civil(days);
    let month_name = MONTHS.get(month as usize - 1).copied().unwrap_or_default();
    let day_name = DAYS.get((days % 7) as usize).copied().unwrap_or_default();
    let mut out = String::new();
    let mut chars = format.chars();
    while let Some(char) = chars.next() {
        if char != '%' {
            out.push(char);
            continue;
        }
        let Some(code) = chars.next() else {
            out.push('%');
            break;
        };
        let number = |number: u64| format!("{number:02}");
        let text = match code {
            'Y' => year.to_string(),
            'm' => number(month),
            'd' => number(day),
            'B' => month_name.to_owned(),
            'b' => month_name.chars().take(3).collect(),
            'A' => day_name.to_owned(),
            'a' => day_name.chars().take(3).collect(),
            'H' => number(seconds / 3600 % 24),
            'M' => number(seconds / 60 % 60),
            'S' => number(seconds % 60),
            '%' => "%".to_owned(),
            other => format!("%{other}"),
        };
        out.push_str(&text);
    }
    out
}

/// Year, month and day of a count of days since 1970 (Hinnant, "chrono-compatible low-level date
/// algorithms", `civil_from_days`).
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (
        year_of_era + era * 400 + u64::from(month <= 2),
        month,
        day_of_year - (153 * shifted + 2) / 5 + 1,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render_one(template: &str) -> Result<String, Error> {
        let info = ModelInfo { bos_token: "<s>".into(), ..ModelInfo::default() };
        render(template, &info, &[TemplateMessage { role: "user", content: "hello".into() }])
    }

    #[test]
    fn what_python_templates_use_works() {
        let check = |template: &str, expected: &str| {
            assert_eq!(render_one(template).expect(template), expected, "{template}");
        };
        check("{{ bos_token }}{{ messages[0]['content'].upper() }}", "<s>HELLO");
        check("{% for m in messages %}{% if loop.first %}{% break %}{% endif %}x{% endfor %}", "");
        check("{% generation %}a{% endgeneration %}{%- generation -%} b", "ab");
        check(
            r#"{{ {'a': '<&>\\u003c"', 'b': [1, 2]} | tojson }}"#,
            r#"{"a": "<&>\\u003c\"", "b": [1, 2]}"#,
        );
        check("{{ [1] | tojson(indent=2, ensure_ascii=False) }}", "[\n  1\n]");
        check("{% if tools is defined and tools %}tools{% endif %}", "");
        check("  {% if true %}\nline\n  {% endif %}\n", "line\n");
        check("{{ 'a<b' }}", "a<b");
    }

    #[test]
    fn a_template_that_refuses_or_never_ends_is_an_error() {
        let refused = render_one("{{ raise_exception('no such role') }}").expect_err("raised");
        assert!(refused.to_string().contains("no such role"), "{refused}");
        let endless =
            "{% for a in range(9999) %}{% for b in range(9999) %}{{ b }}{% endfor %}{% endfor %}";
        assert_eq!(render_one(endless).expect_err("too long").kind(), ErrorKind::OutOfFuel);
        assert!(render_one("{% if %}").is_err());
    }

    #[test]
    fn dates() {
        // 2024-02-29 23:59:58, a leap day.
        let leap = 1_709_251_198;
        assert_eq!(
            strftime("%d %b %Y, %A %H:%M:%S %B %a %m %% %q", leap),
            "29 Feb 2024, Thursday 23:59:58 February Thu 02 % %q"
        );
        assert_eq!(strftime("%Y-%m-%d", 0), "1970-01-01");
    }
}
