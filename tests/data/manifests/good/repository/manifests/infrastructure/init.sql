CREATE EXTENSION timescaledb;
