//! One column of many rows that go into a statement at once.

use super::Scalar;
use super::value::clean;

/// A value for each of many rows.
#[derive(Clone, Debug)]
pub(crate) enum Array {
    Texts(Vec<Option<String>>),
    Ints(Vec<Option<i64>>),
    Bools(Vec<Option<bool>>),
    Floats(Vec<Option<f64>>),
}

/// The values of one column of many rows.
#[derive(Clone, Debug)]
pub(crate) enum Column {
    Each(Array),
    /// Stands in this many rows: PostgreSQL is sent it once.
    Same(Scalar, usize),
}

impl Column {
    pub(crate) fn texts<T: Into<String>>(texts: impl IntoIterator<Item = T>) -> Self {
        Self::Each(Array::Texts(texts.into_iter().map(|t| Some(clean(t.into()))).collect()))
    }

    /// As [`Column::texts`] and then [`Column::collapsed`]; texts that are all the same are not copied for each row.
    pub(crate) fn texts_collapsed<'t>(texts: impl Iterator<Item = &'t str> + Clone) -> Self {
        let mut each = texts.clone();
        match each.next() {
            Some(first) if each.all(|text| text == first) => Self::same(first, texts.count()),
            _ => Self::texts(texts),
        }
    }

    pub(crate) fn optional_texts(texts: impl IntoIterator<Item = Option<String>>) -> Self {
        Self::Each(Array::Texts(texts.into_iter().map(|t| t.map(clean)).collect()))
    }

    pub(crate) fn ints<T: TryInto<i64>>(ints: impl IntoIterator<Item = T>) -> Self {
        Self::Each(Array::Ints(ints.into_iter().map(|i| Some(i.try_into().unwrap_or(i64::MAX))).collect()))
    }

    pub(crate) fn optional_ints(ints: impl IntoIterator<Item = Option<i64>>) -> Self {
        Self::Each(Array::Ints(ints.into_iter().collect()))
    }

    pub(crate) fn bools(bools: impl IntoIterator<Item = bool>) -> Self {
        Self::Each(Array::Bools(bools.into_iter().map(Some).collect()))
    }

    pub(crate) fn optional_floats(floats: impl IntoIterator<Item = Option<f64>>) -> Self {
        Self::Each(Array::Floats(floats.into_iter().collect()))
    }

    /// The same value in each of `n` rows.
    pub(crate) fn same(value: impl Into<Scalar>, n: usize) -> Self {
        Self::Same(value.into(), n)
    }

    /// What it is, as [`Column::Same`] if it has one value in all rows.
    pub(crate) fn collapsed(self) -> Self {
        let one = match &self {
            Self::Each(Array::Texts(c)) => only(c).map(Scalar::Text),
            Self::Each(Array::Ints(c)) => only(c).map(Scalar::Int),
            Self::Each(Array::Bools(c)) => only(c).map(Scalar::Bool),
            Self::Each(Array::Floats(c)) => only(c).map(Scalar::Float),
            Self::Same(..) => None,
        };
        match one {
            Some(value) => Self::Same(value, self.len()),
            None => self,
        }
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Each(array) => array.len(),
            Self::Same(_, n) => *n,
        }
    }

    /// The value of row `at`, as JSON.
    pub(crate) fn json(&self, at: usize) -> serde_json::Value {
        match self {
            Self::Each(array) => array.json(at),
            Self::Same(Scalar::Text(text), _) => text.clone().into(),
            Self::Same(Scalar::Int(int), _) => (*int).into(),
            Self::Same(Scalar::Bool(bool), _) => bool.map(i64::from).into(),
            Self::Same(Scalar::Float(float), _) => (*float).into(),
        }
    }
}

impl Array {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Texts(c) => c.len(),
            Self::Ints(c) => c.len(),
            Self::Bools(c) => c.len(),
            Self::Floats(c) => c.len(),
        }
    }

    fn json(&self, at: usize) -> serde_json::Value {
        match self {
            Self::Texts(c) => c.get(at).cloned().flatten().into(),
            Self::Ints(c) => c.get(at).copied().flatten().into(),
            Self::Bools(c) => c.get(at).copied().flatten().map(i64::from).into(),
            Self::Floats(c) => c.get(at).copied().flatten().into(),
        }
    }
}

/// The value that all have.
fn only<T: PartialEq + Clone>(values: &[T]) -> Option<T> {
    let (first, rest) = values.split_first()?;
    rest.iter().all(|value| value == first).then(|| first.clone())
}
