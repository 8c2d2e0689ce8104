BEGIN TRANSACTION;
CREATE TABLE numbers (
    entry INTEGER NOT NULL, position INTEGER NOT NULL, name TEXT NOT NULL, predicted REAL, measured REAL,
    PRIMARY KEY (entry, position, name)
);
INSERT INTO "numbers" VALUES(1,0,'bytes',NULL,7.0);
INSERT INTO "numbers" VALUES(1,0,'peak_bytes',5.0,NULL);
INSERT INTO "numbers" VALUES(1,0,'seconds',2.0,3.0);
INSERT INTO "numbers" VALUES(1,1,'seconds',1.0,NULL);
CREATE TABLE runs (
    entry INTEGER PRIMARY KEY AUTOINCREMENT, run TEXT NOT NULL, status TEXT NOT NULL, started TEXT NOT NULL,
    seconds REAL NOT NULL, profile TEXT NOT NULL, machine TEXT NOT NULL, bundle TEXT NOT NULL, record TEXT NOT NULL
);
INSERT INTO "runs" VALUES(1,'20260101-000000-0001','done','2026-01-01T00:00:00Z',9.0,'pppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppp','machine-1','','{"bundle": "", "environment": {"fingerprint": "machine-1"}, "error": "", "plan": {"steps": []}, "predicted": {}, "profile": "pppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppp", "run": "20260101-000000-0001", "schema": 1, "seconds": 9.0, "started": "2026-01-01T00:00:00Z", "status": "done", "steps": [{"auto": false, "deterministic": true, "error": "", "facts": {"model.params": 100.0}, "key": "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk", "measured": {"bytes": 7.0, "seconds": 3.0}, "outputs": {"model": "dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd"}, "plugin": "peft", "predicted": {"peak_bytes": 5.0, "seconds": 2.0}, "settings": {"rank": 8}, "status": "done", "use": "tune/lora", "version": "1"}, {"auto": false, "deterministic": true, "error": "", "facts": {}, "key": "llllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllll", "measured": {}, "outputs": {}, "plugin": "", "predicted": {"seconds": 1.0}, "settings": {}, "status": "reused", "use": "retrieve/x", "version": ""}], "systems": {"baseline": {"answers": "eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee", "items": {"contained": [1.0, 0.0]}, "metrics": {"contained": {"count": 10, "high": 0.6, "low": 0.4, "unit": "", "value": 0.5}}, "name": "baseline", "unavailable": {"perplexity": "no logits"}}}}');
CREATE TABLE scores (
    entry INTEGER NOT NULL REFERENCES runs (entry), system TEXT NOT NULL, metric TEXT NOT NULL, value REAL,
    low REAL, high REAL, unit TEXT NOT NULL, count INTEGER NOT NULL, PRIMARY KEY (entry, system, metric)
);
INSERT INTO "scores" VALUES(1,'baseline','contained',0.5,0.4,0.6,'',10);
CREATE TABLE steps (
    entry INTEGER NOT NULL REFERENCES runs (entry), position INTEGER NOT NULL, key TEXT NOT NULL, use TEXT NOT NULL,
    version TEXT NOT NULL, plugin TEXT NOT NULL, status TEXT NOT NULL, settings TEXT NOT NULL, facts TEXT NOT NULL,
    machine TEXT NOT NULL, PRIMARY KEY (entry, position)
);
INSERT INTO "steps" VALUES(1,0,'kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk','tune/lora','1','peft','done','{"rank": 8}','{"model.params": 100.0}','machine-1');
INSERT INTO "steps" VALUES(1,1,'llllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllll','retrieve/x','','','reused','{}','{}','machine-1');
CREATE INDEX runs_by_run ON runs (run);
CREATE VIEW latest AS SELECT max(entry) AS entry FROM runs GROUP BY run;
CREATE INDEX steps_by_use ON steps (use);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('runs',1);
COMMIT;
PRAGMA user_version = 1;
