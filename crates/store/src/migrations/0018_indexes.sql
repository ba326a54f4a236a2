-- What this server cannot run is kept too: images for other processors and what stands beside an
-- image, all parts of an index. Such have no image in the store; an index has the config and the
-- image of the one in it that is for this server.
ALTER TABLE registry_manifests ADD COLUMN own_config TEXT;
ALTER TABLE registry_manifests ADD COLUMN own_image TEXT;
UPDATE registry_manifests SET own_config = config, own_image = image;
ALTER TABLE registry_manifests DROP COLUMN config;
ALTER TABLE registry_manifests DROP COLUMN image;
ALTER TABLE registry_manifests RENAME COLUMN own_config TO config;
ALTER TABLE registry_manifests RENAME COLUMN own_image TO image;
