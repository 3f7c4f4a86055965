//! The words of the language, a family a file.
