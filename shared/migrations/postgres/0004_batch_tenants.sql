-- What a batch may touch: a JSON list of the tenants of who submitted it, beside what belongs to none; null: everything.
ALTER TABLE batch ADD COLUMN tenants TEXT;
