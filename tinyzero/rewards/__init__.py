"""What an outcome is worth: pure functions from verdicts, solve rates and programs to named reward terms."""
