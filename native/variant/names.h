// Puts the frozen names into order; once, behind mp_init() and before any text is made.
void names_init(void);
