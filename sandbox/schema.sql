-- T-Developer's database, as the application makes it. Owner: the role t_developer.
-- size_kb <= 6.5 and instantiation_us <= 3.0 are rules of the system that this deployment does not enforce here.

CREATE TABLE agents (
    id uuid PRIMARY KEY,
    name varchar(120) NOT NULL,
    version varchar(32) NOT NULL,
    size_kb numeric(8, 3) NOT NULL CHECK (size_kb > 0),
    instantiation_us numeric(8, 3) NOT NULL CHECK (instantiation_us > 0),
    capabilities jsonb NOT NULL DEFAULT '[]',
    metadata jsonb NOT NULL DEFAULT '{}',
    fitness_score numeric(5, 4) NOT NULL CHECK (fitness_score BETWEEN 0 AND 1),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (name, version),
    CHECK (updated_at >= created_at)
);

CREATE TABLE agent_versions (
    agent_id uuid NOT NULL REFERENCES agents (id) ON DELETE CASCADE,
    version_number int NOT NULL CHECK (version_number > 0),
    code_hash varchar(64) NOT NULL,
    changes text[] NOT NULL DEFAULT '{}',
    is_stable boolean NOT NULL DEFAULT false,
    performance_metrics jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (agent_id, version_number)
);

CREATE TABLE evolution_history (
    id uuid PRIMARY KEY,
    agent_id uuid NOT NULL REFERENCES agents (id) ON DELETE CASCADE,
    generation int NOT NULL CHECK (generation > 0),
    parent_ids uuid[] NOT NULL DEFAULT '{}',
    mutations text[] NOT NULL DEFAULT '{}',
    fitness_score numeric(5, 4) NOT NULL CHECK (fitness_score BETWEEN 0 AND 1),
    constraints_met boolean NOT NULL,
    timestamp timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE fitness_tracking (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    agent_id uuid NOT NULL REFERENCES agents (id) ON DELETE CASCADE,
    generation int NOT NULL CHECK (generation > 0),
    fitness_score numeric(5, 4) NOT NULL CHECK (fitness_score BETWEEN 0 AND 1),
    performance_metrics jsonb NOT NULL DEFAULT '{}',
    timestamp timestamptz NOT NULL DEFAULT now(),
    UNIQUE (agent_id, generation)
);

CREATE TABLE gene_pool (
    id uuid PRIMARY KEY,
    gene_type varchar(40) NOT NULL,
    gene jsonb NOT NULL,
    fitness_contribution numeric(5, 4) NOT NULL CHECK (fitness_contribution BETWEEN 0 AND 1),
    usage_count int NOT NULL DEFAULT 0 CHECK (usage_count >= 0),
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE evolution_patterns (
    id uuid PRIMARY KEY,
    pattern_type varchar(40) NOT NULL,
    pattern jsonb NOT NULL,
    success_rate numeric(5, 4) NOT NULL CHECK (success_rate BETWEEN 0 AND 1),
    discovered_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE ai_analysis_results (
    id uuid PRIMARY KEY,
    agent_id uuid NOT NULL REFERENCES agents (id) ON DELETE CASCADE,
    analysis jsonb NOT NULL,
    confidence numeric(5, 4) NOT NULL CHECK (confidence BETWEEN 0 AND 1),
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE metrics (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name varchar(120) NOT NULL,
    value double precision NOT NULL,
    importance varchar(10) NOT NULL DEFAULT 'normal' CHECK (importance IN ('low', 'normal', 'high')),
    labels jsonb NOT NULL DEFAULT '{}',
    timestamp timestamptz NOT NULL DEFAULT now()
);

-- The engine's own: one row. `running` is what /api/evolution/stop and /resume switch; a generation is made under a share
-- lock of the row, so that a stop waits for the one that is being made. `drift` is how mean fitness moves a generation.
-- `resume_from` is the checkpoint from which the next one is made; the engine empties it then.
CREATE TABLE evolution_state (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    running boolean NOT NULL,
    drift double precision NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now(),
    resume_from text NOT NULL DEFAULT '',
    -- The application's configuration, as /api/config tells and changes it.
    config jsonb NOT NULL DEFAULT '{
        "population_size": 150, "generation_interval": 3600, "parallel_evaluations": 50, "cache_ttl": 60,
        "max_memory_percent": 80, "connection_pool_size": 100, "request_timeout": 30, "max_connections": 1000
    }'
);
INSERT INTO evolution_state (running, drift) VALUES (true, 0.0008);
