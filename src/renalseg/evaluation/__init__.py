"""A folder of predictions against a cohort, by the rules of KiTS21 or KiTS23."""
