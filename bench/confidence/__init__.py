"""Is a word's confidence as often right as it says? The parts of ``make calibration``."""
