//! Tokens to a tree, by precedence: `?:`, `||`, `&&`, equality, comparison, sum, product, unary, then chains of properties.

use super::lexer::{Token, tokens};
use super::{MAX_EXPRESSION_CHARS, MAX_EXPRESSION_DEPTH};

/// A piece of a composite text.
#[derive(Debug, PartialEq)]
pub(super) enum Part {
    Text(String),
    Expression(Tree),
}

#[derive(Debug, PartialEq)]
pub(super) enum Tree {
    Null,
    Boolean(bool),
    Long(i64),
    Double(f64),
    Text(String),
    Name(String),
    Property(Box<Tree>, String),
    Index(Box<Tree>, Box<Tree>),
    Call(Box<Tree>, String, Vec<Tree>),
    Unary(&'static str, Box<Tree>),
    Binary(&'static str, Box<Tree>, Box<Tree>),
    Choice(Box<Tree>, Box<Tree>, Box<Tree>),
}

/// Binary operators, loosest first.
const LEVELS: [&[&str]; 6] = [&["||"], &["&&"], &["==", "!="], &["<", ">", "<=", ">="], &["+", "-"], &["*", "/", "%"]];

/// The parts of a text with expressions in it. `\${` is no expression.
pub(super) fn parse(text: &str) -> Result<Vec<Part>, String> {
    if text.chars().count() > MAX_EXPRESSION_CHARS {
        return Err(format!("it is longer than {MAX_EXPRESSION_CHARS} characters"));
    }
    let mut parts = Vec::new();
    let mut plain = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if let Some(escaped) = rest.strip_prefix('\\').filter(|r| r.starts_with("${") || r.starts_with("#{")) {
            plain.push_str(escaped.get(..2).unwrap_or_default());
            rest = escaped.get(2..).unwrap_or_default();
        } else if rest.starts_with("${") || rest.starts_with("#{") {
            if !plain.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut plain)));
            }
            let (tokens, after) = tokens(rest.get(2..).unwrap_or_default())?;
            let mut parser = Parser { tokens, at: 0, depth: 0 };
            let tree = parser.choice()?;
            if let Some(token) = parser.peek() {
                return Err(format!("unexpected {token:?}"));
            }
            parts.push(Part::Expression(tree));
            rest = after;
        } else {
            plain.push(c);
            rest = rest.get(c.len_utf8()..).unwrap_or_default();
        }
    }
    if !plain.is_empty() {
        parts.push(Part::Text(plain));
    }
    Ok(parts)
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
}

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn take(&mut self) -> Option<Token> {
        let token = self.tokens.get(self.at).cloned();
        self.at += 1;
        token
    }

    /// The next sign, if it is one of these.
    fn accept(&mut self, signs: &[&str]) -> Option<&'static str> {
        match self.peek() {
            Some(Token::Sign(sign)) if signs.contains(sign) => {
                let sign = *sign;
                self.at += 1;
                Some(sign)
            }
            _ => None,
        }
    }

    fn expect(&mut self, sign: &'static str) -> Result<(), String> {
        self.accept(&[sign]).map(|_| ()).ok_or_else(|| format!("'{sign}' is missing"))
    }

    fn deeper(&mut self) -> Result<(), String> {
        self.depth += 1;
        if self.depth > MAX_EXPRESSION_DEPTH { Err(format!("it is nested more than {MAX_EXPRESSION_DEPTH} deep")) } else { Ok(()) }
    }

    fn choice(&mut self) -> Result<Tree, String> {
        self.deeper()?;
        let condition = self.binary(0)?;
        let tree = if self.accept(&["?"]).is_some() {
            let yes = self.choice()?;
            self.expect(":")?;
            let no = self.choice()?;
            Tree::Choice(Box::new(condition), Box::new(yes), Box::new(no))
        } else {
            condition
        };
        self.depth -= 1;
        Ok(tree)
    }

    fn binary(&mut self, level: usize) -> Result<Tree, String> {
        let Some(signs) = LEVELS.get(level) else { return self.unary() };
        let mut left = self.binary(level + 1)?;
        // A long chain of operators makes a deep tree, which is walked recursively.
        let before = self.depth;
        while let Some(sign) = self.accept(signs) {
            self.deeper()?;
            let right = self.binary(level + 1)?;
            left = Tree::Binary(sign, Box::new(left), Box::new(right));
        }
        self.depth = before;
        Ok(left)
    }

    fn unary(&mut self) -> Result<Tree, String> {
        let sign = match self.peek() {
            Some(Token::Name(word)) if word == "empty" => {
                self.at += 1;
                Some("empty")
            }
            _ => self.accept(&["!", "-"]),
        };
        let Some(sign) = sign else { return self.chain() };
        self.deeper()?;
        let operand = self.unary()?;
        self.depth -= 1;
        Ok(Tree::Unary(sign, Box::new(operand)))
    }

    /// A value and what is asked of it: `a.b`, `a['b']`, `a.b(c)`.
    fn chain(&mut self) -> Result<Tree, String> {
        let mut tree = self.primary()?;
        let before = self.depth;
        while let Some(sign) = self.accept(&[".", "["]) {
            self.deeper()?;
            if sign == "[" {
                let index = self.choice()?;
                self.expect("]")?;
                tree = Tree::Index(Box::new(tree), Box::new(index));
                continue;
            }
            let Some(Token::Name(name)) = self.take() else { return Err("a property's name is missing behind '.'".to_owned()) };
            tree = if self.accept(&["("]).is_some() {
                Tree::Call(Box::new(tree), name, self.arguments()?)
            } else {
                Tree::Property(Box::new(tree), name)
            };
        }
        self.depth = before;
        Ok(tree)
    }

    fn arguments(&mut self) -> Result<Vec<Tree>, String> {
        let mut arguments = Vec::new();
        if self.accept(&[")"]).is_some() {
            return Ok(arguments);
        }
        loop {
            arguments.push(self.choice()?);
            if self.accept(&[","]).is_none() {
                self.expect(")")?;
                return Ok(arguments);
            }
        }
    }

    fn primary(&mut self) -> Result<Tree, String> {
        match self.take() {
            Some(Token::Text(text)) => Ok(Tree::Text(text)),
            Some(Token::Long(number)) => Ok(Tree::Long(number)),
            Some(Token::Double(number)) => Ok(Tree::Double(number)),
            Some(Token::Name(name)) => match name.as_str() {
                "true" => Ok(Tree::Boolean(true)),
                "false" => Ok(Tree::Boolean(false)),
                "null" => Ok(Tree::Null),
                _ if self.accept(&["("]).is_some() => Err(format!("Could not resolve function '{name}'")),
                _ => Ok(Tree::Name(name)),
            },
            Some(Token::Sign("(")) => {
                let tree = self.choice()?;
                self.expect(")")?;
                Ok(tree)
            }
            Some(Token::Sign(sign)) => Err(format!("unexpected '{sign}'")),
            None => Err("a value is missing".to_owned()),
        }
    }
}
